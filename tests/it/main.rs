//! The integration tests: one binary, real sockets, real peers. A missing peer fails a test, it never skips it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a test that cannot go on has failed, and says where"
)]

mod architecture;
