//! Rebuilding and switching a distributed collection.
//!
//! Every search names the build that it runs in, which the collection's row here says; a server answers from whichever of its live generations
//! is of that build. Switching a server makes the old generation its standby, which follows the source as before. So each server can serve both
//! builds from before the first one is switched until after the row has changed, and the commit of the row is the one moment in which
//! searches change over. Where it ends early, because of a crash for one, some servers are switched and searches go on in the old build;
//! switching again does what is left.
use crate::catalog::collection::require_owner;
use crate::catalog::distributed::ask::{ask, execute_each};
use crate::catalog::distributed::forward::{Argument, DONE, of_collection, there};
use crate::catalog::distributed::{Distributed, Part};
use crate::sys::guc::search::shard_timeout;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use pgrx::spi::quote_literal;
use rag::search::shard::{Described, Description, Step};
use rag::{Error, Result};

/// Where to go from the active generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the one being built.
    Forward,
    /// To the one on standby.
    Back,
}

impl Direction {
    /// The generation of a server that lies there.
    fn ahead(self, description: &Description) -> Option<&Described> {
        match self {
            Self::Forward => description.building.as_ref(),
            Self::Back => description.standby.as_ref(),
        }
    }

    /// The error where there is none.
    fn nowhere(self, part: &Part) -> Error {
        let error = Error::not_ready(format!("{} has no generation to switch to", part.place()));
        error.with_hint(match self {
            Self::Forward => "Make one with rag_rebuild().",
            Self::Back => "rag_switch leaves the previous one on standby until rag_prune drops it.",
        })
    }
}

impl Distributed {
    /// Begins a new generation on every server. `options` are by the names of `rag_rebuild`'s arguments. Without any, servers that lack the
    /// build that searches run in, as one that was restored from a backup, make that one, and the others need none.
    pub fn rebuild(&self, options: &[Argument]) -> Result<()> {
        require_owner(self.owner, &self.name, "rebuild it")?;
        let parts = self.parts()?;
        let descriptions = self.descriptions(&parts)?;
        let current = self.described();
        let repairs = options.is_empty() && descriptions.iter().any(|one| !has(one, &current));
        let options = if repairs { &self.build_options() } else { options };
        let needs = |one: &Description| one.building.is_none() && !(repairs && has(one, &current));
        let idle = parts.iter().zip(&descriptions).filter(|(_, one)| needs(one));
        let each = |(part, one)| of_collection(part, one, "rag_rebuild", DONE, options);
        let calls = idle.map(each).collect::<Result<Vec<_>>>()?;
        if calls.is_empty() {
            return Err(Error::not_ready(format!(
                "collection \"{}\" is being rebuilt already",
                self.name
            ))
            .with_hint(format!(
                "Switch to it with rag_switch({}) when it is complete on all servers.",
                quote_literal(&self.name)
            )));
        }
        execute_each(&calls, shard_timeout())
    }

    /// The build that searches run in, as options.
    fn build_options(&self) -> Vec<Argument> {
        vec![
            ("model", self.model.clone()),
            ("max_tokens", self.max_tokens.to_string()),
            ("overlap_tokens", self.overlap_tokens.to_string()),
            ("format", self.format.clone()),
            ("token_bits", self.has_bits.to_string()),
        ]
    }

    /// Has searches run in the build that all servers have in this direction.
    pub fn switch(&self, direction: Direction, force: bool) -> Result<()> {
        require_owner(self.owner, &self.name, "switch it")?;
        self.lock();
        let parts = self.parts()?;
        let descriptions = self.descriptions(&parts)?;
        let target = self.target(&parts, &descriptions, direction)?;
        let mut calls = Vec::new();
        for (part, description) in parts.iter().zip(&descriptions) {
            there(part, description)?;
            if !is(direction.ahead(description), &target) {
                if has(description, &target) {
                    continue;
                }
                return Err(direction.nowhere(part));
            }
            if let Some(lacks) =
                description.lacks.as_ref().filter(|_| !force && direction == Direction::Forward)
            {
                return Err(Error::not_ready(format!(
                    "the new generation on {} is not complete",
                    part.place()
                ))
                .with_detail(format!("Of what the active generation has, {lacks}."))
                .with_hint("Wait, and see rag.generation_status on that server; force => true switches all the same."));
            }
            let (function, arguments) = match direction {
                Direction::Forward => ("rag_switch", vec![("force", force.to_string())]),
                Direction::Back => ("rag_rollback", vec![]),
            };
            calls.push(of_collection(part, description, function, DONE, &arguments)?);
        }
        execute_each(&calls, shard_timeout())?;
        let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let arguments = [
            self.id.into(),
            target.model.as_str().into(),
            target.fingerprint.as_str().into(),
            size(target.dimensions).into(),
            target.has_bits.into(),
            size(target.max_tokens).into(),
            size(target.overlap_tokens).into(),
            target.format.as_str().into(),
        ];
        as_extension_owner(|| execute(statement!("catalog/switch_distributed"), &arguments));
        Ok(())
    }

    /// Keeps others from switching it until the transaction ends.
    pub fn lock(&self) {
        let lock = "SELECT FROM rag.distributed_collection WHERE collection_id = $1 FOR UPDATE";
        as_extension_owner(|| execute(lock, &[self.id.into()]));
    }

    /// Numbers of generations are those of a server.
    pub fn refuse_generation(generation: Option<i32>) -> Result<()> {
        if generation.is_none() {
            return Ok(());
        }
        Err(Error::invalid_argument(
            "the generations of a distributed collection have numbers of their servers",
        )
        .with_hint("Leave generation out: it is done on all servers."))
    }

    /// What all servers say of their parts.
    pub fn descriptions(&self, parts: &[Part]) -> Result<Vec<Description>> {
        let steps: Vec<(&Part, Step)> = parts.iter().map(|part| (part, Step::Describe)).collect();
        ask::<Description>(&self.name, &steps, &[])?.into_iter().collect()
    }

    /// The build to switch to: that of each server's generation in this direction, or of its active one where it was switched already. It is
    /// the one that searches run in where servers have built that: those that lacked it, or all of them anew.
    fn target(
        &self,
        parts: &[Part],
        descriptions: &[Description],
        direction: Direction,
    ) -> Result<Described> {
        let current = self.described();
        let is_anew = |one: &Description| is(one.building.as_ref(), &current);
        if direction == Direction::Forward && descriptions.iter().any(is_anew) {
            return Ok(current);
        }
        let mut found: Option<(&Part, &Described)> = None;
        for (part, description) in parts.iter().zip(descriptions) {
            let active = description.collection.as_ref();
            let is_switched = !is(active, &current) && is(description.standby.as_ref(), &current);
            let one = if is_switched { active } else { direction.ahead(description) };
            let one = one.ok_or_else(|| direction.nowhere(part))?;
            match found {
                None => found = Some((part, one)),
                Some((other_part, other)) => {
                    if let Some((what, a, b)) = other.difference(one) {
                        return Err(Error::wrong_object(format!(
                            "the generations on {} and {} differ in {what}",
                            other_part.place(),
                            part.place()
                        ))
                        .with_detail(format!("They have \"{a}\" and \"{b}\"."))
                        .with_hint(
                            "Drop one of them with rag_prune() on its server, and rebuild.",
                        ));
                    }
                }
            }
        }
        let (_, target) = found.expect("a distributed collection has parts");
        Ok(target.clone())
    }
}

/// Whether there is one, of this build.
pub fn is(one: Option<&Described>, build: &Described) -> bool {
    one.is_some_and(|one| one.difference(build).is_none())
}

/// Whether a server can answer in this build.
fn has(description: &Description, build: &Described) -> bool {
    is(description.collection.as_ref(), build) || is(description.standby.as_ref(), build)
}
