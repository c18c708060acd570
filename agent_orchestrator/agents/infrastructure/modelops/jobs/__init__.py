"""Jobs of every kind: started, followed, cancelled, paid for."""
