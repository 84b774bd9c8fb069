"""What is to be measured: skills, their cases, the matrix. No pytest and no SDK."""

SKILL_FILE = "SKILL.md"
MOST_RUNS = 1000
