"""The paths of the REST service: one router for each subject."""
