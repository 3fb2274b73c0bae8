import { Args, Mutation, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { toBackupModel } from '../backups/backup.model.js';
import { BackupsService } from '../backups/backups.service.js';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { UploadCompleteInput, UploadCompletePayload, UploadCreateInput, UploadCreatePayload } from './dto/upload.inputs.js';
import { UploadCompletion } from './upload-completion.js';
import { toUploadModel } from './upload.model.js';
import { UploadsService } from './uploads.service.js';

@Resolver()
export class UploadsResolver {
  constructor(
    private readonly uploads: UploadsService,
    private readonly completion: UploadCompletion,
    private readonly backups: BackupsService,
  ) {}

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => UploadCreatePayload, { description: 'Announces a file and says where its bytes go.' })
  async uploadCreate(@CurrentActor() actor: Actor, @Args('input') input: UploadCreateInput): Promise<UploadCreatePayload> {
    const { upload, way } = await this.uploads.create(actor, input);
    return { upload: toUploadModel(upload, way) };
  }

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => UploadCompletePayload, { description: 'Checks size, SHA-256 and what the file is, which takes as long as reading it once; an import then goes on as an operation.' })
  async uploadComplete(@CurrentActor() actor: Actor, @Args('input') input: UploadCompleteInput): Promise<UploadCompletePayload> {
    const { upload, operation } = await this.completion.complete(actor, input);
    const backup = upload.backupId === null ? null : await this.backups.find(upload, upload.backupId);
    return { upload: toUploadModel(upload), backup: backup && toBackupModel(backup), operation: operation && toOperationModel(operation) };
  }
}
