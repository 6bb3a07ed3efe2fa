//! The HTTP interface: axum's home.
//!
//! A handler parses, calls one use case and maps the result; no rule of the
//! business lives here. What holds for every request alike is in `front`.

// What is said when something is wrong.
pub mod problem;
// What comes in: JSON as a value, read field by field.
pub mod json;
pub mod fields;
pub mod conditional;
pub mod cursor;
pub mod body;
pub mod negotiate;
// What every request meets.
pub mod front;
pub mod server;
// The resources.
pub mod problem_pages;
