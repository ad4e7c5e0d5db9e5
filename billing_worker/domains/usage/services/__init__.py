"""Use cases of usage, one public function per file."""
