import { Field, ObjectType, registerEnumType } from '@nestjs/graphql';

export const EncryptionStatus = { READY: 'READY', KEY_MISSING: 'KEY_MISSING', KEY_INVALID: 'KEY_INVALID', OFF: 'OFF' } as const;
export type EncryptionStatus = keyof typeof EncryptionStatus;
registerEnumType(EncryptionStatus, { name: 'EncryptionStatus' });

@ObjectType('EncryptionState')
export class EncryptionStateModel {
  @Field(() => EncryptionStatus)
  state!: EncryptionStatus;

  @Field(() => String, { nullable: true, description: 'A warning to be shown on top of the page; null when there is none.' })
  banner!: string | null;

  @Field(() => String, { nullable: true, description: 'The key that new archives are encrypted with.' })
  keyId!: string | null;
}
