//! How a delivery behaves.
