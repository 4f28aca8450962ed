//! What `rotunda-node` and `rotunda-router` owe the system that runs them, and nothing of bookings: [`supervisor`] tells
//! systemd that a server serves, lives and stops; [`settings_file`] says on which line a file of settings is wrong.
//! The servers' `main` and `config` call it.

pub mod settings_file;
pub mod supervisor;
