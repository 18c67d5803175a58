"""What several tests need: servers, command runs, the files beside the repository."""
