mod archives;
mod build;
mod containers;
mod files;
mod hostile;
mod media;
mod scanner;
mod zoo;
