"""Operations: what operators can see and do, over HTTP, while the system runs."""
