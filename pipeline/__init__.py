"""Reports in, findings out: domain, settings, storage, feeds and jobs. Knows no torch and no Celery."""
