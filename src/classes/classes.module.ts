import { Module } from '@nestjs/common';
import { TenantsModule } from '../tenants/tenants.module.js';
import { ClassRulesRepository } from './class-rules.repository.js';
import { ClassesResolver, TenantClassesResolver } from './classes.resolver.js';
import { ClassesService } from './classes.service.js';

@Module({
  imports: [TenantsModule],
  providers: [ClassesResolver, ClassesService, ClassRulesRepository, TenantClassesResolver],
  exports: [ClassesService],
})
export class ClassesModule {}
