"use strict";
// A link to something that is folded away unfolds it, and a click on a packet's way is one on its line.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  const own = target.querySelector(":scope > details.packet");
  if (own) own.open = true;
}
addEventListener("hashchange", unfold);
unfold();
for (const way of document.querySelectorAll(".lane > svg")) {
  way.addEventListener("click", () => {
    const details = way.parentElement.querySelector("details");
    details.open = !details.open;
  });
}
