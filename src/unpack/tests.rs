mod archives;
mod build;
mod files;
mod hostile;
mod media;
