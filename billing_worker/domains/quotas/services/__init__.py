"""Use cases of quotas, one public function per file."""
