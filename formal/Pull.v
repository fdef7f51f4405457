(* At a minimiser (D, Y) of L_ND, for any m, the pull on each atom,
     sum_n t_jn,   t_jn = y_jn sum_{l >= j} p_l (x_n - D Lambda_l y_n),
   is 0. For d_j of norm 1 the loss is a constant less 2 <d_j, h>, so d_j has the direction of h, the
   sum of the samples' targets; and each code that is not 0 is the best one, so |h| is w_j C_jj. No
   derivative is taken. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Rays IdentitySparse.
Open Scope R_scope.

Definition minimises_over_codes (d K N m : nat) (p : vec) (X D Y : mat) : Prop :=
  unit_norm d K D /\ sparse_columns K N m Y /\
  forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
  nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y'.

(* sum_{l >= j} p_l (x - D Lambda_l y), and the pull of a sample on atom j. *)
Definition late_residual (K : nat) (p : vec) (D : mat) (x y : vec) (j : nat) : vec :=
  fun i => sum K (fun k => (if (j <=? k)%nat then p k else 0) * residual D (S k) x y i).
Definition pull (K : nat) (p : vec) (D : mat) (x y : vec) (j : nat) : vec :=
  fun i => y j * late_residual K p D x y j i.

(* A dictionary without atom j, and with another in its place. *)
Definition without (D : mat) (j : nat) : mat := fun i k => if (k =? j)%nat then 0 else D i k.
Definition replaced (D : mat) (j : nat) (u : vec) : mat :=
  fun i k => if (k =? j)%nat then u i else D i k.

Lemma residual_without D l x y j i :
  residual D l x y i
  = residual (without D j) l x y i - (if (j <? l)%nat then y j else 0) * D i j.
Proof.
  unfold residual, without.
  rewrite (sum_ext l (fun k => D i k * y k) (fun k => (if (k =? j)%nat then 0 else D i k) * y k
    + (if (k =? j)%nat then D i k * y k else 0))) by (intros; destruct (_ =? _)%nat; ring).
  rewrite sum_plus. destruct (Nat.ltb_spec j l) as [L|L].
  - rewrite (sum_single l j (fun k => if (k =? j)%nat then _ else 0)), Nat.eqb_refl; auto; [ring|].
    intros k _ N. now apply Nat.eqb_neq in N as ->.
  - rewrite (sum_zero l (fun k => if (k =? j)%nat then _ else 0)); [ring|].
    intros k Hk. now replace (k =? j)%nat with false by (symmetry; apply Nat.eqb_neq; lia).
Qed.

(* The loss of a sample in d_j and y_j, all else fixed. *)
Lemma sample_loss_in_one_atom d K p D x y j :
  sample_loss d K p D x y = sample_loss d K p (without D j) x y
  + survival K p j * (y j * y j) * norm2 d (col D j)
  - 2 * (y j * dot d (col D j) (late_residual K p (without D j) x y j)).
Proof.
  unfold sample_loss, survival.
  assert (Late : dot d (col D j) (late_residual K p (without D j) x y j) = sum K (fun k =>
    (if (j <=? k)%nat then p k else 0) * dot d (col D j) (residual (without D j) (S k) x y))).
  { unfold dot, late_residual. rewrite (sum_ext d _ (fun i => sum K (fun k =>
      (if (j <=? k)%nat then p k else 0) * (col D j i * residual (without D j) (S k) x y i)))).
    - rewrite sum_swap. apply sum_ext; intros k _. now rewrite sum_scal.
    - intros i _. rewrite <- sum_scal. apply sum_ext; intros; ring. }
  rewrite Late, <- !sum_scal_r, <- !sum_scal, <- sum_plus, <- sum_minus.
  apply sum_ext; intros k Hk.
  replace (norm2 d (residual D (S k) x y)) with (norm2 d (fun i =>
    residual (without D j) (S k) x y i - (if (j <? S k)%nat then y j else 0) * col D j i)).
  - rewrite norm2_step. change (j <? S k)%nat with (j <=? k)%nat. destruct (j <=? k)%nat; ring.
  - apply norm2_ext; intros i _. now rewrite (residual_without D (S k) x y j).
Qed.

Lemma without_replaced D j u i k : without (replaced D j u) j i k = without D j i k.
Proof. unfold without, replaced. now destruct (k =? j)%nat. Qed.

Lemma residual_dictionary_ext D D' l x y i :
  (forall k, D i k = D' i k) -> residual D l x y i = residual D' l x y i.
Proof. intros H. unfold residual. f_equal. apply sum_ext; intros. now rewrite H. Qed.

Lemma sample_loss_replaced d K p D x y j u :
  sample_loss d K p (replaced D j u) x y = sample_loss d K p (without D j) x y
  + survival K p j * (y j * y j) * norm2 d u
  - 2 * (y j * dot d u (late_residual K p (without D j) x y j)).
Proof.
  rewrite (sample_loss_in_one_atom d K p (replaced D j u) x y j).
  assert (C : forall i, col (replaced D j u) j i = u i)
    by (intros; unfold col, replaced; now rewrite Nat.eqb_refl).
  f_equal; [f_equal|f_equal; f_equal].
  - apply sum_ext; intros k _. f_equal. apply norm2_ext; intros i _.
    apply residual_dictionary_ext; intros. apply without_replaced.
  - f_equal. apply norm2_ext; auto.
  - apply sum_ext; intros i _. rewrite C. f_equal. apply sum_ext; intros k _. f_equal.
    apply residual_dictionary_ext; intros. apply without_replaced.
Qed.

(* The vector that the unit atom d_j has to align with. *)
Definition target (K N : nat) (p : vec) (X D Y : mat) (j : nat) : vec :=
  fun i => sum N (fun n => Y j n * late_residual K p (without D j) (col X n) (col Y n) j i).

Lemma dot_target d K N p X D Y j u :
  sum N (fun n => Y j n * dot d u (late_residual K p (without D j) (col X n) (col Y n) j))
  = dot d u (target K N p X D Y j).
Proof.
  unfold dot, target.
  rewrite (sum_ext N _ (fun n => sum d (fun i =>
    u i * (Y j n * late_residual K p (without D j) (col X n) (col Y n) j i)))).
  - rewrite sum_swap. apply sum_ext; intros i _. now rewrite sum_scal.
  - intros n _. rewrite <- sum_scal. apply sum_ext; intros; ring.
Qed.

Lemma aligned_with_target d K N m p X D Y j u :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> norm2 d u = 1 ->
  dot d u (target K N p X D Y j) <= dot d (col D j) (target K N p X D Y j).
Proof.
  intros [U [S M]] Hj Hu.
  assert (U' : unit_norm d K (replaced D j u)).
  { intros k Hk. destruct (Nat.eq_dec k j) as [->|E].
    - rewrite <- Hu. apply norm2_ext; intros. unfold col, replaced. now rewrite Nat.eqb_refl.
    - rewrite <- (U k Hk). apply norm2_ext; intros. unfold col, replaced.
      now apply Nat.eqb_neq in E as ->. }
  specialize (M _ Y U' S). rewrite !nested_code_loss_by_samples in M.
  rewrite (sum_ext N (fun n => sample_loss d K p (replaced D j u) _ _) (fun n =>
    sample_loss d K p D (col X n) (col Y n)
    + 2 * (Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j))
    - 2 * (Y j n * dot d u (late_residual K p (without D j) (col X n) (col Y n) j)))) in M.
  - rewrite sum_minus, sum_plus, !sum_scal, !dot_target in M. lra.
  - intros n _. rewrite sample_loss_replaced, (sample_loss_in_one_atom d K p D _ _ j), Hu, (U j Hj).
    change (col Y n j) with (Y j n). ring.
Qed.

(* A unit vector that no unit vector outdoes along h is h's direction. *)
Lemma best_direction d u h : norm2 d u = 1 ->
  (forall v, norm2 d v = 1 -> dot d v h <= dot d u h) ->
  forall i, (i < d)%nat -> h i = dot d u h * u i.
Proof.
  intros Hu M i Hi. apply Rminus_diag_uniq.
  assert (Z : sum d (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i)) = 0).
  { apply Rle_antisym; [|apply sum_nonneg; intros; apply Rle_0_sqr].
    assert (E : sum d (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i))
      = norm2 d h - dot d u h * dot d u h).
    { pose proof (norm2_step d h (dot d u h) u) as St. rewrite Hu in St.
      unfold norm2 at 1, dot at 1 in St. rewrite St. ring. }
    rewrite E. destruct (Rle_lt_dec (norm2 d h) 0) as [L|L];
      [pose proof (Rle_0_sqr (dot d u h)) as Q;
      unfold Rsqr in Q; lra|].
    pose proof (sqrt_lt_R0 _ L) as P. pose proof (sqrt_sqrt (norm2 d h) ltac:(lra)) as SS.
    set (r := sqrt (norm2 d h)) in *.
    assert (V : norm2 d (fun i => h i / r) = 1).
    { unfold norm2, dot. rewrite (sum_ext d _ (fun i => / (r * r) * (h i * h i)))
        by (intros; field; lra). rewrite sum_scal. fold (dot d h h). fold (norm2 d h).
      rewrite <- SS. field. lra. }
    assert (B : dot d (fun i => h i / r) h = r).
    { unfold dot. rewrite (sum_ext d _ (fun i => / r * (h i * h i))) by (intros; field; lra).
      rewrite sum_scal. fold (dot d h h). fold (norm2 d h). rewrite <- SS. field. lra. }
    pose proof (M _ V) as B'. rewrite B in B'. nra. }
  pose proof (sum_term_le d i (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i)) Hi
    ltac:(intros; apply Rle_0_sqr)) as T. rewrite Z in T. cbv beta in T. nra.
Qed.

(* Each code is the best one on its support. *)
Lemma best_code d K N m p X D Y j n :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> (n < N)%nat ->
  survival K p j * (Y j n * Y j n)
  = Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j).
Proof.
  intros [U [Sp M]] Hj Hn. destruct (Req_EM_T (Y j n) 0) as [Z|Z]; [rewrite Z; ring|].
  set (q := dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j)).
  assert (Q : forall e, 0 <= survival K p j * (e * e + 2 * e * Y j n) - 2 * e * q).
  { intros e.
    set (Y' := fun k l => if ((k =? j) && (l =? n))%nat%bool then Y j n + e else Y k l).
    assert (Sp' : sparse_columns K N m Y').
    { intros l Hl. destruct (Sp l Hl) as [s [L H]]. exists s. split; auto.
      intros k Hk Nz. apply H; auto. unfold col, Y' in *.
      destruct (Nat.eqb_spec k j), (Nat.eqb_spec l n); simpl in Nz; subst; auto. }
    specialize (M D Y' U Sp'). rewrite !nested_code_loss_by_samples in M.
    rewrite (sum_ext N (fun l => sample_loss d K p D (col X l) (col Y' l)) (fun l =>
      sample_loss d K p D (col X l) (col Y l) + (if (l =? n)%nat then
        survival K p j * (e * e + 2 * e * Y j n) - 2 * e * q else 0))) in M.
    - rewrite sum_plus, (sum_single N n (fun l => if (l =? n)%nat then _ else 0)),
        Nat.eqb_refl in M;
        auto; [lra|]. intros l _ E. now apply Nat.eqb_neq in E as ->.
    - intros l _. destruct (Nat.eqb_spec l n) as [->|E].
      + rewrite (sample_loss_in_one_atom d K p D _ (col Y' n) j),
          (sample_loss_in_one_atom d K p D _ (col Y n) j), (U j Hj).
        assert (Same : forall k i, residual (without D j) k (col X n) (col Y' n) i
          = residual (without D j) k (col X n) (col Y n) i).
        { intros k i. unfold residual. f_equal. apply sum_ext; intros h _.
          unfold without, col, Y'. destruct (h =? j)%nat; simpl; ring. }
        replace (sample_loss d K p (without D j) (col X n) (col Y' n))
          with (sample_loss d K p (without D j) (col X n) (col Y n))
          by (apply sum_ext; intros k _; f_equal; apply norm2_ext; intros; now rewrite Same).
        replace (dot d (col D j) (late_residual K p (without D j) (col X n) (col Y' n) j)) with q.
        * fold q. unfold col, Y'. rewrite !Nat.eqb_refl. simpl. ring.
        * apply sum_ext; intros i _. f_equal. apply sum_ext; intros k _. now rewrite Same.
      + rewrite Rplus_0_r. apply sum_ext; intros k _. f_equal. apply norm2_ext; intros i _.
        unfold residual. f_equal. apply sum_ext; intros h _. unfold col, Y'.
        apply Nat.eqb_neq in E. rewrite E, Bool.andb_false_r. reflexivity. }
  enough (survival K p j * Y j n = q) as <- by ring.
  set (w := survival K p j) in *. set (y := Y j n) in *.
  apply Rminus_diag_uniq. set (g := w * y - q).
  assert (Q' : forall e, 0 <= w * (e * e) + 2 * e * g) by (intros e; pose proof (Q e); unfold g;
    lra).
  destruct (Req_EM_T g 0) as [|G]; auto. exfalso.
  assert (G2 : 0 < g * g) by nra. pose proof (Q' (- g)) as Q1.
  assert (W : 2 <= w) by nra. pose proof (Q' (- g / w)) as Q2.
  replace (w * (- g / w * (- g / w)) + 2 * (- g / w) * g) with (- (g * g) / w) in Q2 by (field;
    lra).
  pose proof (Rmult_lt_0_compat (g * g) (/ w) G2 ltac:(apply Rinv_0_lt_compat; lra)). lra.
Qed.

Lemma late_residual_without K p D x y j i :
  late_residual K p D x y j i
  = late_residual K p (without D j) x y j i - survival K p j * y j * D i j.
Proof.
  unfold late_residual, survival.
  rewrite (sum_ext K _ (fun k => (if (j <=? k)%nat then p k else 0)
    * residual (without D j) (S k) x y i - (if (j <=? k)%nat then p k else 0) * (y j * D i j))).
  - rewrite sum_minus, sum_scal_r. ring.
  - intros k _. rewrite (residual_without D (S k) x y j).
    change (j <? S k)%nat with (j <=? k)%nat. destruct (j <=? k)%nat; ring.
Qed.

Theorem the_pull_is_balanced d K N m p X D Y j i :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> (i < d)%nat ->
  sum N (fun n => pull K p D (col X n) (col Y n) j i) = 0.
Proof.
  intros M Hj Hi. pose proof (proj1 M) as U.
  assert (T : target K N p X D Y j i = dot d (col D j) (target K N p X D Y j) * D i j).
  { apply (best_direction d (col D j) (target K N p X D Y j)); auto.
    intros v Hv. now apply (aligned_with_target d K N m). }
  rewrite (sum_ext N _ (fun n => Y j n * late_residual K p (without D j) (col X n) (col Y n) j i
    - survival K p j * (Y j n * Y j n) * D i j)).
  - rewrite sum_minus. fold (target K N p X D Y j i). rewrite T, sum_scal_r, <- dot_target.
    rewrite (sum_ext N (fun n => survival K p j * (Y j n * Y j n)) (fun n =>
      Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j))); [ring|].
    intros n Hn. now apply (best_code d K N m p X D Y).
  - intros n _. unfold pull. rewrite late_residual_without. change (col Y n j) with (Y j n). ring.
Qed.
