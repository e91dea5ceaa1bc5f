"""What happened in a lab as a page that one can send: its acts as ladders, its claims, its captures."""
