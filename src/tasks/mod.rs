//! The server's own worker tasks: the SDK's worker runtime over an exchange that calls the tracker instead of a network.

mod exchange;

use std::collections::BTreeMap;
use std::time::Duration;

use longrun_sdk::handlers::program::{Guard, Program};
use longrun_sdk::handlers::{noop, sleep};
use longrun_sdk::{Slots, Worker, WorkerBuilder, WorkerError};

use crate::operation::TenantId;
use crate::settings;
use crate::tracker::Tracker;
use exchange::InProcess;

/// The workers of this server: for the types that are built in, of the first tenant; for its programs, of the tenants
/// that each is for. All of them carry out `slots` operations at a time, and have `grace` to end in.
///
/// A worker belongs to one tenant, as every claim does; and a program of which few may run at a time has its own, so
/// that it never holds more than it runs.
pub fn workers(
    tracker: &Tracker,
    programs: &[settings::Program],
    slots: usize,
    grace: Duration,
) -> Result<Vec<Worker>, WorkerError> {
    let slots = Slots::new(slots);
    let worker = |tenant: &TenantId, slots: &Slots| {
        Worker::over(InProcess::new(tracker.clone(), tenant.clone()))
            .worker_id(format!("server:{}:{}", std::process::id(), fastrand::u32(..)))
            .slots(slots.clone())
            .grace(grace)
    };
    let first = TenantId::default();
    let built_in = worker(&first, &slots).handler("noop", noop).handler("sleep", sleep);
    let mut of_tenant: BTreeMap<TenantId, WorkerBuilder> = BTreeMap::from([(first, built_in)]);
    let mut workers = Vec::new();
    for settings in programs {
        let program = program(settings);
        let few = settings.concurrency.map(|few| slots.part(few));
        for tenant in &settings.tenants {
            let name = settings.operation_type.as_str();
            if let Some(few) = &few {
                workers.push(worker(tenant, few).program(name, program.clone()).build()?);
            } else {
                let builder = of_tenant.remove(tenant).unwrap_or_else(|| worker(tenant, &slots));
                of_tenant.insert(tenant.clone(), builder.program(name, program.clone()));
            }
        }
    }
    for builder in of_tenant.into_values() {
        workers.push(builder.build()?);
    }
    Ok(workers)
}

fn program(settings: &settings::Program) -> Program {
    let mut program = Program::new(&settings.path, Guard::of_this_executable(["guard"]))
        .arguments(&settings.arguments)
        .environment(settings.environment.iter().cloned());
    if let Some(timeout) = settings.timeout {
        program = program.timeout(timeout);
    }
    if let Some(inherited) = &settings.inherited {
        program = program.inherit(inherited);
    }
    program
}
