//! The whole house in one process: demo, serve, load.
