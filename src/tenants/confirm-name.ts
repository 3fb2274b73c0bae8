import { applyDecorators } from '@nestjs/common';
import { Field } from '@nestjs/graphql';
import { IsString, MaxLength } from 'class-validator';

/** A field of an input that is only carried out for whoever has typed the workspace's name; `requireConfirmed` compares it. */
export function ConfirmName(): PropertyDecorator {
  return applyDecorators(Field(() => String, { description: "The workspace's name, typed exactly." }), IsString(), MaxLength(1000));
}
