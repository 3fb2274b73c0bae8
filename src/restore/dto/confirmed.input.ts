import { Field, InputType } from '@nestjs/graphql';
import { IsOptional, IsString, Length, MaxLength } from 'class-validator';

/** What every input has that names a finished restore and confirms it by the workspace's name. */
@InputType({ isAbstract: true })
export abstract class ConfirmedInput {
  @Field(() => String, { description: "The workspace's name, typed exactly." })
  @IsString()
  @MaxLength(1000)
  confirmName!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @Length(1, 200)
  idempotencyKey?: string | null;
}
