"""What people look at: reports now, the live pages of the hub later."""
