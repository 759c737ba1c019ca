/**
 * Pages are named in the address's fragment, so that a token never reaches a server's log:
 * `#/` the start page, `#/join/TOKEN` a lesson.
 */

import { createRouter, createWebHashHistory, type RouteRecordRaw } from 'vue-router'
import JoinPage from '@/pages/JoinPage.vue'
import NotFoundPage from '@/pages/NotFoundPage.vue'
import StartPage from '@/pages/StartPage.vue'

const routes: RouteRecordRaw[] = [
  { path: '/', name: 'start', component: StartPage },
  { path: '/join/:token', name: 'join', component: JoinPage, props: true },
]

// Every page with an imagined lesson, to look at while designing; the build leaves it out.
if (import.meta.env.DEV) {
  routes.push({ path: '/gallery/:page?', name: 'gallery', component: () => import('@/pages/gallery/GalleryPage.vue'), props: true })
}
routes.push({ path: '/:rest(.*)', name: 'nothing', component: NotFoundPage })

export const router = createRouter({ history: createWebHashHistory(), routes })
