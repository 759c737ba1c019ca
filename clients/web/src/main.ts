import 'webrtc-adapter'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'

import { createApp } from 'vue'
import App from './App.vue'
import { applyToDocument } from './i18n'
import { router } from './router'

applyToDocument()
createApp(App).use(router).mount('#app')
