//! The one integration binary: what must hold between the crates, and for the whole program.

mod architecture;
