// Every definition of the shop.
export * from './browsing.js'
export * from './entities.js'
export * from './on-demand.js'
export * from './payments.js'
export * from './people.js'
export * from './services.js'
