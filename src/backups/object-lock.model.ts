import { Field, Int, ObjectType, registerEnumType } from '@nestjs/graphql';

export const ObjectLockMode = { GOVERNANCE: 'GOVERNANCE', COMPLIANCE: 'COMPLIANCE' } as const;
registerEnumType(ObjectLockMode, { name: 'ObjectLockMode' });

@ObjectType('ObjectLock', { description: 'Archives that are written there cannot be deleted by anybody for so long.' })
export class ObjectLockModel {
  @Field(() => ObjectLockMode, { description: 'GOVERNANCE: but by whom the owner of the store gives the right to.' })
  mode!: keyof typeof ObjectLockMode;

  @Field(() => Int)
  days!: number;
}
