//! Settings of remote models.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use rag::remote::Egress;
use rag::{Error, Result};
use std::ffi::CString;

static ALLOWED_HOSTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// The hosts that may be called without https and on private addresses.
pub fn egress() -> Result<Egress> {
    let list = text(&ALLOWED_HOSTS);
    Egress::parse(&list).map_err(|error| {
        Error::configuration("the setting rag_pg.allowed_hosts is not usable")
            .with_detail(error.message().to_owned())
            .with_hint(
                "It lists hosts as \"name\", \"name:port\", or addresses, separated by commas.",
            )
    })
}

/// Path of the file of certificate authorities that replace the built-in ones, or empty.
pub fn ca_file() -> String {
    text(&CA_FILE)
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Defines the settings. Both decide which servers are connected to and trusted, so only superusers choose them.
pub fn init() {
    GucRegistry::define_string_guc(
        c"rag_pg.allowed_hosts",
        c"Hosts that remote models may be on without https or a public address.",
        c"Names or addresses, each perhaps with a port, separated by commas. Others need https and an address of the public network.",
        &ALLOWED_HOSTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.ca_file",
        c"File of certificate authorities (PEM) that replace the built-in ones for remote models.",
        c"Empty for the built-in ones, Mozilla's. The file is read when a process makes its first connection with this setting.",
        &CA_FILE,
        GucContext::Suset,
        GucFlags::default(),
    );
}
