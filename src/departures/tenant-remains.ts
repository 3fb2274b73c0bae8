import type { EntityManager } from 'typeorm';

/** What goes with a tenant, in the order of their references: people, secrets, and what would act by itself. */
export const removedTables = [
  'announcement_mail', 'api_key', 'backup_copy', 'destination', 'member', 'cron_key', 'webhook_delivery', 'webhook', 'alert_delivery', 'notifier', 'schedule', 'proof_plan', 'class_rules', 'reset_code', 'retention_state', 'database_claim', 'download', 'upload', 'history_export', 'discarded_archive',
] as const;

/** What stays: what was done, by whom and when. */
export const keptTables = ['alert', 'announcement', 'approval', 'audit_event', 'backup', 'operation', 'policy_change', 'reset_request', 'restore_plan', 'schedule_request'] as const;

export async function removeRemains(tenantId: string, manager: EntityManager): Promise<void> {
  for (const table of removedTables) await manager.query(`delete from ${table} where tenant_id = $1`, [tenantId]);
  await manager.query('update account set home_tenant_id = null where home_tenant_id = $1', [tenantId]);
}
