(* The moment e_1 d_1 d_1^T + e_2 d_2 d_2^T of two rays of the plane, d_1 = (1,0) and d_2 = (c,s),
   e_k = y_k^2: what one atom can explain of them, and when that is little enough for the condition
   of TwoAtoms.v. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Rays Instances.
Import ListNotations.
Open Scope R_scope.

(* The larger and the lesser eigenvalue of e_1 d_1 d_1^T + e_2 d_2 d_2^T. *)
Definition spread (e1 e2 c : R) : R := sqrt ((e1 - e2) * (e1 - e2) + 4 * e1 * e2 * (c * c)).
Definition larger (e1 e2 c : R) : R := (e1 + e2 + spread e1 e2 c) / 2.
Definition lesser (e1 e2 c : R) : R := (e1 + e2 - spread e1 e2 c) / 2.

Lemma eigenvalues e1 e2 c s : 0 < e2 <= e1 -> c * c + s * s = 1 ->
  larger e1 e2 c + lesser e1 e2 c = e1 + e2 /\
  larger e1 e2 c * lesser e1 e2 c = e1 * e2 * (s * s) /\
  lesser e1 e2 c <= larger e1 e2 c /\ e1 <= larger e1 e2 c.
Proof.
  intros H N. unfold larger, lesser.
  assert (P : 0 <= e1 * e2 * (c * c)) by (apply Rmult_le_pos; nra).
  assert (Q : 0 <= (e1 - e2) * (e1 - e2) + 4 * e1 * e2 * (c * c)) by nra.
  pose proof (sqrt_sqrt _ Q) as S. pose proof (sqrt_pos ((e1 - e2) * (e1 - e2)
    + 4 * e1 * e2 * (c * c))).
  fold (spread e1 e2 c) in S, H0. repeat split; try lra.
  - replace (e1 * e2 * (s * s)) with (e1 * e2 - e1 * e2 * (c * c))
      by (replace (s * s) with (1 - c * c) by lra; ring). nra.
  - assert (e1 - e2 <= spread e1 e2 c); [|lra].
    apply Rsqr_incr_0_var; auto. unfold Rsqr. rewrite S. lra.
Qed.

Lemma degenerate_form_nonneg A B C a b : 0 <= C -> 0 <= A + C -> A * C = B * B ->
  0 <= A * (a * a) + 2 * B * (a * b) + C * (b * b).
Proof.
  intros HC HA E. destruct (Req_EM_T C 0) as [->|N].
  - assert (B = 0) as -> by nra. pose proof (Rle_0_sqr a) as Q. unfold Rsqr in Q.
    assert (0 <= A * (a * a)) by (apply Rmult_le_pos; lra). lra.
  - apply Rmult_le_reg_l with C; [lra|].
    replace (C * (A * (a * a) + 2 * B * (a * b) + C * (b * b)))
      with ((A * C) * (a * a) + 2 * B * C * (a * b) + C * C * (b * b)) by ring.
    rewrite E. pose proof (Rle_0_sqr (B * a + C * b)) as Q. unfold Rsqr in Q. lra.
Qed.

(* The determinant of l I - M, for l the larger eigenvalue. *)
Lemma larger_is_a_root e1 e2 c s : 0 < e2 <= e1 -> c * c + s * s = 1 ->
  let l := larger e1 e2 c in
  (l - e1 - e2 * (c * c)) * (l - e2 * (s * s)) = (e2 * (c * s)) * (e2 * (c * s)).
Proof.
  intros H N l. destruct (eigenvalues e1 e2 c s H N) as [Sm [Pr _]]. fold l in Sm, Pr.
  replace (lesser e1 e2 c) with (e1 + e2 - l) in Pr by lra.
  assert (Q : l * l = l * (e1 + e2) - e1 * e2 * (s * s)) by lra.
  replace ((l - e1 - e2 * (c * c)) * (l - e2 * (s * s)))
    with (l * l - l * e1 - l * e2 * (c * c + s * s) + e1 * e2 * (s * s)
      + e2 * (c * s) * (e2 * (c * s))) by ring.
  rewrite N, Q. ring.
Qed.

(* A unit atom explains at most the larger eigenvalue. *)
Lemma explained_at_most a b c s y1 y2 : 0 < y2 <= y1 -> c * c + s * s = 1 -> a * a + b * b = 1 ->
  (y1 * a) * (y1 * a) + (y2 * c * a + y2 * s * b) * (y2 * c * a + y2 * s * b)
  <= larger (y1 * y1) (y2 * y2) c.
Proof.
  intros H N U. assert (He : 0 < y2 * y2 <= y1 * y1) by (split; nra).
  destruct (eigenvalues _ _ c s He N) as [Sm [Pr [Le Ge]]].
  pose proof (larger_is_a_root _ _ c s He N) as Dt. cbv zeta in Dt.
  set (l := larger (y1 * y1) (y2 * y2) c) in *. set (e1 := y1 * y1) in *. set (e2 := y2 * y2) in *.
  assert (s2 : 0 <= s * s <= 1) by nra.
  pose proof (degenerate_form_nonneg (l - e1 - e2 * (c * c)) (- (e2 * (c * s))) (l - e2 * (s * s))
    a b) as F.
  assert (l = l * (a * a + b * b)) as El by (rewrite U; ring).
  assert (e2 * (c * c) + e2 * (s * s) = e2) as Ee by (rewrite <- Rmult_plus_distr_l, N; ring).
  specialize (F ltac:(nra) ltac:(lra) ltac:(rewrite Dt; ring)).
  replace (y1 * a * (y1 * a)) with (e1 * (a * a)) by (unfold e1; ring).
  replace ((y2 * c * a + y2 * s * b) * (y2 * c * a + y2 * s * b))
    with (e2 * (c * c * (a * a) + 2 * (c * s) * (a * b) + s * s * (b * b))) by (unfold e2; ring).
  lra.
Qed.

(* Some unit atom explains that much, if the atoms are not orthogonal. *)
Lemma explained_attained c s y1 y2 : 0 < y2 <= y1 -> c * c + s * s = 1 -> c <> 0 -> s <> 0 ->
  exists a b, a * a + b * b = 1 /\
  (y1 * a) * (y1 * a) + (y2 * c * a + y2 * s * b) * (y2 * c * a + y2 * s * b)
  = larger (y1 * y1) (y2 * y2) c.
Proof.
  intros H N Hc Hs. assert (He : 0 < y2 * y2 <= y1 * y1) by (split; nra).
  pose proof (larger_is_a_root _ _ c s He N) as Dt. cbv zeta in Dt.
  set (l := larger (y1 * y1) (y2 * y2) c) in *. set (e1 := y1 * y1) in *. set (e2 := y2 * y2) in *.
  set (x := e2 * (c * s)) in *. set (y := l - e1 - e2 * (c * c)) in *.
  assert (X : x <> 0) by (unfold x; repeat apply Rmult_integral_contrapositive_currified; auto;
    lra).
  assert (Z : 0 < x * x + y * y) by nra.
  pose proof (inverse_root _ Z) as R. set (r := 1 / sqrt (x * x + y * y)) in *.
  exists (r * x), (r * y). split.
  - replace (r * x * (r * x) + r * y * (r * y)) with ((r * r) * (x * x + y * y)) by ring.
    rewrite R. field. lra.
  - assert (V : e1 * (x * x) + e2 * ((c * x + s * y) * (c * x + s * y)) = l * (x * x + y * y)).
    { replace (e2 * ((c * x + s * y) * (c * x + s * y)))
        with (e2 * (c * c) * (x * x) + 2 * (e2 * (c * s)) * (x * y) + e2 * (s * s) * (y * y))
          by ring.
      fold x. replace (e2 * (s * s) * (y * y)) with (l * (y * y) - y * (y * (l - e2 * (s * s))))
        by ring.
      rewrite Dt. unfold y. ring. }
    replace (y1 * (r * x) * (y1 * (r * x))
      + (y2 * c * (r * x) + y2 * s * (r * y)) * (y2 * c * (r * x) + y2 * s * (r * y)))
      with ((r * r) * (e1 * (x * x) + e2 * ((c * x + s * y) * (c * x + s * y))))
      by (unfold e1, e2; ring).
    rewrite V, R. field. lra.
Qed.

(* The condition says that merged atoms lose no more than the second slot does. *)
Lemma condition_by_eigenvalue e1 e2 c s q : 0 < e2 <= e1 -> c * c + s * s = 1 -> 0 < q < 1 ->
  q * (1 - (1 - q) * (e2 / e1)) <= c * c <-> lesser e1 e2 c <= (1 - q) * e2.
Proof.
  intros H N Hq. destruct (eigenvalues e1 e2 c s H N) as [Sm [Pr [Le Ge]]].
  set (l := larger e1 e2 c) in *. set (mu := lesser e1 e2 c) in *. set (t := (1 - q) * e2).
  assert (F : (t - mu) * (t - l) = e1 * e2 * (q * (1 - (1 - q) * (e2 / e1)) - c * c)).
  { replace ((t - mu) * (t - l)) with (t * t - t * (l + mu) + l * mu) by ring. rewrite Sm, Pr.
    replace (s * s) with (1 - c * c) by lra. unfold t. field. lra. }
  assert (T : t < l) by (unfold t; nra).
  assert (E : 0 < e1 * e2) by nra.
  set (g := q * (1 - (1 - q) * (e2 / e1)) - c * c) in *.
  split; intros C.
  - assert (G : g <= 0) by (unfold g; lra). apply Rnot_lt_le. intros L.
    assert (0 < (t - mu) * (t - l)) by nra. nra.
  - apply Rnot_lt_le. intros L. assert (G : 0 < g) by (unfold g; lra).
    assert (0 < e1 * e2 * g) by (apply Rmult_lt_0_compat; auto). nra.
Qed.
