"""The pipeline that every call goes through: resolve, attempt, meter."""
