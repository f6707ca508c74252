//! `Debug` for types that hold patient data or secrets: their name, and nothing of what they hold.

macro_rules! redacted {
    ($($name:ident),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )*};
}

pub(crate) use redacted;
