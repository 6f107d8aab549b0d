// Behaviours of Trust.
