"""What the machine is, what it can do at best, and how it does while a run goes on."""
