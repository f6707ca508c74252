//! The binary: arguments, log, exit code, allocator.

use std::num::NonZero;
use std::process::ExitCode;

use clap::Parser as _;
use lotse::cli::{self, Cli};
use tikv_jemallocator::Jemalloc;
use tracing_subscriber::EnvFilter;

/// What is freed goes back to the system within seconds, also where nothing runs any more.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => {
            // Help and version are no faults; everything else is usage.
            let code = if asked.use_stderr() { cli::Code::Usage } else { cli::Code::Done };
            let _ = asked.print();
            return code.into();
        }
    };
    log(cli.default_level());
    match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(cli));
            // A blocking read that never ends, such as a terminal's, must not hold the exit.
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            code.into()
        }
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            cli::Code::Failed.into()
        }
    }
}

/// Half of the processors serve connections. What blocks (disk, archives, pixels) has threads of its own, and of more
/// than these each event wakes one that finds nothing to do: on two processors one thread took 9 % more small objects
/// than two, and as many CT slices, with a tenth less computing.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).max(1))
        .thread_name("lotse")
        .enable_all()
        .build()
}

/// To standard error: without time and colour below systemd, whose journal adds its own.
fn log(default: &str) {
    let filter = EnvFilter::try_from_env("LOTSE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let layer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if under_systemd {
        layer.with_ansi(false).without_time().init();
    } else {
        layer.with_ansi(false).init();
    }
}
