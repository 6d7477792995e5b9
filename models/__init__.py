"""The language models: text in, numbers out. Knows no database, no Celery, nothing of pipeline/."""
