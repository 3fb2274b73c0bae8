import type { INestApplicationContext } from '@nestjs/common';
import { TenantsService } from '../tenants/tenants.service.js';
import { UsageError } from './admin-command.js';

/** @throws UsageError for a slug that no tenant has */
export async function tenantIdOf(application: INestApplicationContext, slug: string): Promise<string> {
  const tenant = await application.get(TenantsService, { strict: false }).findBySlug(slug);
  if (tenant === null) throw new UsageError(`There is no workspace with the slug ${slug}`);
  return tenant.id;
}
