"""ModelOps: data set → training → evaluation → canary → promotion or rollback.

``coordinator`` offers the use cases declared in ``usecases``; nothing else reaches behind it.
"""
