"""What can go wrong in planning. Each message says where, and what to do."""


class PlanError(ValueError):
    """A step cannot be planned as asked."""
