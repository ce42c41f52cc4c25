"""Prefect tasks: the steps of a flow as Prefect shows, times and retries them. Each makes one call into the core.

A flow of one step has no task: Prefect shows and times the flow itself. Every task states:

- `task_run_name` and `tags`: how people find it in Prefect.
- `retries`: 0 where the core retries by itself (each access to a store, each photo, each shard of a fleet) or the same
  input would fail again; more only where the step is idempotent and the fault may pass.
- `retry_condition_fn`: for which faults, where there are retries.
- `timeout_seconds`: None for steps that take as long as the collection or the training needs, which may be days. What
  can hang inside has its own limit: requests to a store, decoders, leases, connections to a cluster.
"""
