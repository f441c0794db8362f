// The version of this package, for what the API says about itself.
export { packageVersion } from '../../app/index.js'
