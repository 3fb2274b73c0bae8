import { Module } from '@nestjs/common';
import { SecretsModule } from '../secrets/secrets.module.js';
import { StoredSecrets } from './stored-secrets.js';

@Module({ imports: [SecretsModule], providers: [StoredSecrets], exports: [StoredSecrets] })
export class StoredSecretsModule {}
