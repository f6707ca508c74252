//! The recipes that come with Lotse: the files of `config/portals`, in the binary so that every installation
//! has them.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../config/portals/", $name)))),*]
    };
}

/// File name and text.
pub(super) const SHIPPED: &[(&str, &str)] = shipped![
    "ambra.toml",
    "birth-date-form.toml",
    "direct-zip.toml",
    "entry-code.toml",
    "orthanc-archive.toml",
    "orthanc-dicomweb.toml",
    "packaging-api.toml",
    "share-dicomweb.toml",
];
