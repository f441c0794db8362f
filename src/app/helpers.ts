// What a project's configuration and its feature modules import from 'headrace' at run time. A project need not have installed the
// package it is served with: these are then what this process runs (load-project.ts), so both lists have to be one.

export {
  approxDistinct,
  column,
  count,
  currentItems,
  decayedCount,
  decayedSum,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  distinct,
  fileSource,
  first,
  histogram,
  kafkaSource,
  last,
  lastK,
  max,
  mean,
  min,
  postgresSource,
  pushSource,
  quantile,
  select,
  selectAs,
  sqlSource,
  sum,
  topK,
  variance,
} from '../features/index.js'
export {
  cascade,
  cheapest,
  constant,
  ensemble,
  fallback,
  fastest,
  lastKnown,
  match,
  shadow,
  split,
  version,
} from '../route/index.js'
export { defineScript } from '../serving/index.js'
export { defineProject } from './project.js'
