//! Calls a model: key, URL, connection and pace put together.
use super::egress::Egress;
use super::pace::{Learnt, Pace};
use super::provider::Provider;
use super::record::Call;
use super::spec::Spec;
use super::transport::{self, ConnectionSettings};
use super::url::Url;
use crate::Result;
use std::sync::{Mutex, PoisonError};
use ureq::Agent;

/// Connections to providers, kept open between calls. Clones share them.
#[derive(Debug, Clone)]
pub struct Connection {
    agent: Agent,
    egress: Egress,
}

impl Connection {
    /// Connections by these rules; none is opened yet.
    pub fn new(settings: &ConnectionSettings) -> Result<Self> {
        Ok(Self { agent: transport::agent(settings)?, egress: settings.egress.clone() })
    }
}

/// Calls one model.
pub struct Client {
    spec: Spec,
    provider: &'static dyn Provider,
    connection: Connection,
    pace: &'static Pace,
    calls: Mutex<Vec<Call>>,
}

impl Client {
    /// A client of a model. `pace` is shared by all that call it.
    pub fn new(spec: Spec, connection: Connection, pace: &'static Pace) -> Result<Self> {
        let provider = spec.provider()?;
        Ok(Self { spec, provider, connection, pace, calls: Mutex::default() })
    }

    /// The model.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The calls made since this was last asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same calls, which stay to be asked for.
    pub fn peek_calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The limits learnt of the model by any process, if they changed since the last call.
    pub fn take_learnt(&self) -> Option<Learnt> {
        self.pace.take_learnt()
    }

    /// The limits learnt of the model.
    pub fn learnt(&self) -> Learnt {
        self.pace.learnt()
    }

    /// Tokens that requests of some texts were answered with in a second, where that is known.
    pub fn speed(&self) -> Option<u64> {
        self.pace.speed()
    }

    pub(super) fn note(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    pub(super) fn provider(&self) -> &'static dyn Provider {
        self.provider
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.connection.agent
    }

    pub(super) fn pace(&self) -> &'static Pace {
        self.pace
    }

    /// An error when a URL may not be called at all; the addresses of its host are checked when it is resolved.
    pub(super) fn check(&self, url: &Url) -> Result<()> {
        self.connection.egress.check(url)
    }
}
