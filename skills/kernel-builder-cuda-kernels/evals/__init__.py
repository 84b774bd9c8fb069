"""What judges the replies to this skill's cases; no model sees it."""
