"""Where pipeline and models meet: the Celery app, thin tasks, use cases."""
